"""What no constraint can say: what PostgreSQL refuses besides, and what it notes by itself."""

from django.apps.registry import Apps
from django.core.management import CommandError
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# P3: no operation targets the master list, and no item names it.
MASTER = """
create function refuse_master_list() returns trigger language plpgsql as $$
begin
  if exists (select 1 from listmanagement_contactlist where id = new.list_id and role = 'master') then
    raise exception 'P3: no operation may target the master list (list %)', new.list_id
      using errcode = 'check_violation', constraint = 'the_master_list_is_never_a_target';
  end if;
  return new;
end $$;
create trigger the_master_list_is_never_a_target
  before insert or update on listmanagement_batchchange
  for each row execute function refuse_master_list();

create function refuse_master_list_as_leg() returns trigger language plpgsql as $$
begin
  if exists (
    select 1 from listmanagement_contactlist
     where id in (new.source_list_id, new.target_list_id) and role = 'master'
  ) then
    raise exception 'P3: no item may name the master list (lists %, %)', new.source_list_id, new.target_list_id
      using errcode = 'check_violation', constraint = 'the_master_list_is_never_a_leg';
  end if;
  return new;
end $$;
create trigger the_master_list_is_never_a_leg
  before insert or update on listmanagement_decisionitem
  for each row execute function refuse_master_list_as_leg();
"""

MASTER_BACK = "drop function refuse_master_list(), refuse_master_list_as_leg() cascade;"

# Rounds go to campaign lists, items place on and move between them; what people did on the suppression list
# can be put back there. No list becomes or stops being the master list once something was meant for it.
ROLES = """
create function refuse_other_than_campaign_lists() returns trigger language plpgsql as $$
declare
  named bigint := (to_jsonb(new) ->> tg_argv[0])::bigint;
begin
  if named is not null
     and not exists (select 1 from listmanagement_contactlist where id = named and role = 'campaign') then
    raise exception 'P3: % must be a campaign list (list %)', tg_argv[0], named
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return new;
end $$;
create trigger rounds_go_to_campaign_lists
  before insert or update on listmanagement_campaignschedule
  for each row when (new.kind = 'round') execute function refuse_other_than_campaign_lists('list_id');
create trigger items_leave_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row when (new.action <> 'take_off')
  execute function refuse_other_than_campaign_lists('source_list_id');
create trigger items_join_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row when (new.action <> 'put_back')
  execute function refuse_other_than_campaign_lists('target_list_id');

create function refuse_new_role() returns trigger language plpgsql as $$
begin
  if exists (select 1 from listmanagement_contactlistmembership where list_id = new.id) then
    raise exception 'a list that contacts were on keeps its role (list %)', new.id
      using errcode = 'check_violation', constraint = 'a_list_keeps_its_role';
  end if;
  return new;
end $$;
create trigger a_list_keeps_its_role
  before update on listmanagement_contactlist
  for each row when (old.role <> new.role) execute function refuse_new_role();
"""

ROLES_BACK = "drop function refuse_other_than_campaign_lists(), refuse_new_role() cascade;"

# P1: evidence, item, operation and suppression are one contact's.
ONE_CONTACT = """
create function refuse_others_evidence() returns trigger language plpgsql as $$
begin
  if new.evidence_id is not null and not exists (
    select 1 from listmanagement_bounce evidence
    join listmanagement_campaignrecipient message on message.id = evidence.recipient_id
    where evidence.id = new.evidence_id and message.contact_id = new.contact_id
  ) then
    raise exception 'P1: evidence % is not of contact %', new.evidence_id, new.contact_id
      using errcode = 'check_violation', constraint = 'evidence_is_the_contacts_own';
  end if;
  return new;
end $$;
create trigger evidence_is_the_contacts_own
  before insert or update on listmanagement_decisionitem
  for each row execute function refuse_others_evidence();
create trigger evidence_is_the_contacts_own
  before insert or update on listmanagement_contactsuppressionhistory
  for each row execute function refuse_others_evidence();

alter table listmanagement_decisiongroup add constraint group_and_decision unique (id, decision_id);
alter table listmanagement_decisionitem
  add constraint item_and_contact unique (id, contact_id),
  add constraint an_items_group_is_of_its_decision foreign key (group_id, decision_id)
    references listmanagement_decisiongroup (id, decision_id) deferrable initially deferred;
alter table listmanagement_operationbatch add constraint batch_and_kind unique (id, kind);
alter table listmanagement_listoperation
  add constraint operation_and_contact unique (id, contact_id),
  add constraint an_operation_is_of_its_items_contact foreign key (item_id, contact_id)
    references listmanagement_decisionitem (id, contact_id) deferrable initially deferred,
  add constraint an_operation_is_of_its_batchs_kind foreign key (batch_id, kind)
    references listmanagement_operationbatch (id, kind) deferrable initially deferred;
alter table listmanagement_contactsuppressionhistory
  add constraint a_suppression_is_of_its_items_contact foreign key (item_id, contact_id)
    references listmanagement_decisionitem (id, contact_id) deferrable initially deferred,
  add constraint a_suppression_is_of_its_operations_contact foreign key (operation_id, contact_id)
    references listmanagement_listoperation (id, contact_id) deferrable initially deferred;
"""

ONE_CONTACT_BACK = """
alter table listmanagement_contactsuppressionhistory
  drop constraint a_suppression_is_of_its_operations_contact,
  drop constraint a_suppression_is_of_its_items_contact;
alter table listmanagement_listoperation
  drop constraint an_operation_is_of_its_batchs_kind,
  drop constraint an_operation_is_of_its_items_contact,
  drop constraint operation_and_contact;
alter table listmanagement_operationbatch drop constraint batch_and_kind;
alter table listmanagement_decisionitem
  drop constraint an_items_group_is_of_its_decision,
  drop constraint item_and_contact;
alter table listmanagement_decisiongroup drop constraint group_and_decision;
drop function refuse_others_evidence() cascade;
"""

# The audit trail only grows.
AUDIT = """
create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'audit entries are never changed or deleted (entry %)', old.id
    using errcode = 'check_violation', constraint = 'audit_entries_only_grow';
end $$;
create trigger audit_entries_only_grow
  before update or delete on listmanagement_auditentry
  for each row execute function refuse_audit_change();
"""

AUDIT_BACK = "drop function refuse_audit_change() cascade;"

# What changes lists' figures leaves a row, whoever changes it: what is cached of them is named by these.
NOTED = {
    "contact": "note_list_change('contacts')",
    "contactlistmembership": "note_membership_change()",
    "contactsuppressionhistory": "note_list_change('suppressions')",
    "hold": "note_list_change('holds')",
}
ROWS = {"insert": "new", "update": "new", "delete": "old"}

# A statement that found nothing to change changes nothing.
NOTES = """
create function note_list_change() returns trigger language plpgsql as $$
begin
  if exists (select from changed) then
    insert into listmanagement_listchange (what, at, mark)
    values (tg_argv[0], clock_timestamp(), (random() * 9007199254740991)::bigint);
  end if;
  return null;
end $$;
create function note_membership_change() returns trigger language plpgsql as $$
begin
  insert into listmanagement_listchange (what, of_list, at, mark)
  select 'memberships', list_id, clock_timestamp(), (random() * 9007199254740991)::bigint
    from (select distinct list_id from changed) as touched;
  return null;
end $$;
"""

NOTING = [
    f"create trigger {table}_{verb}_is_noted after {verb} on listmanagement_{table}"
    f" referencing {rows} table as changed for each statement execute function {function}"
    for table, function in NOTED.items()
    for verb, rows in ROWS.items()
]

NOTES_BACK = "drop function note_list_change(), note_membership_change() cascade;"

# 0001_models makes the table, 0002_refusals made the function: a new database has the one and not yet the other.
IS_NEW = """
select to_regclass('listmanagement_listchange') is not null and to_regproc('refuse_master_list') is null
"""


def refuse_unless_new(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Where all that is replaced was applied this counts as applied; where only some was it comes to this."""
    with editor.connection.cursor() as cursor:
        cursor.execute(IS_NEW)
        if cursor.fetchone() == (False,):
            raise CommandError(
                "This database has only some of the migrations 0001_initial to 0029_returns, which 0001_models and "
                "0002_triggers replace. Run `manage.py migrate` once with the last version that has them, or begin "
                "with an empty database."
            )


class Migration(migrations.Migration):
    # The last of them; 0001_models replaces the others.
    replaces = [("listmanagement", "0029_returns")]

    dependencies = [("listmanagement", "0001_models")]

    operations = [
        migrations.RunPython(refuse_unless_new, migrations.RunPython.noop),
        migrations.RunSQL(MASTER, MASTER_BACK),
        migrations.RunSQL(ROLES, ROLES_BACK),
        migrations.RunSQL(ONE_CONTACT, ONE_CONTACT_BACK),
        migrations.RunSQL(AUDIT, AUDIT_BACK),
        migrations.RunSQL([NOTES, *NOTING], NOTES_BACK),
    ]
