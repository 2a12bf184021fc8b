import pytest

from listmanagement.models import ContactList, Role


@pytest.mark.django_db
def test_a_list_is_remembered() -> None:
    ContactList.objects.create(mailjet_id=1, name="one", role=Role.CAMPAIGN, position=1)

    assert ContactList.objects.rotation().get().name == "one"
