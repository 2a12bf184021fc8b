"""What people did on the suppression list can be put back there; anything else goes to campaign lists alone."""

from django.db import migrations

LEGS = """
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

drop trigger items_leave_campaign_lists on listmanagement_decisionitem;
create trigger items_leave_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row when (new.action <> 'take_off')
  execute function refuse_other_than_campaign_lists('source_list_id');
drop trigger items_join_campaign_lists on listmanagement_decisionitem;
create trigger items_join_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row when (new.action <> 'put_back')
  execute function refuse_other_than_campaign_lists('target_list_id');
"""

LEGS_BACK = """
drop trigger items_join_campaign_lists on listmanagement_decisionitem;
create trigger items_join_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row execute function refuse_other_than_campaign_lists('target_list_id');
drop trigger items_leave_campaign_lists on listmanagement_decisionitem;
create trigger items_leave_campaign_lists
  before insert or update on listmanagement_decisionitem
  for each row execute function refuse_other_than_campaign_lists('source_list_id');
drop trigger the_master_list_is_never_a_leg on listmanagement_decisionitem;
drop function refuse_master_list_as_leg();
"""


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0012_webhookevent")]

    operations = [migrations.RunSQL(LEGS, LEGS_BACK)]
