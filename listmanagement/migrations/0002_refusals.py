"""What no constraint can say: the master list is never a target, and the audit trail only grows."""

from django.db import migrations

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
"""

MASTER_BACK = """
drop trigger the_master_list_is_never_a_target on listmanagement_batchchange;
drop function refuse_master_list();
"""

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

AUDIT_BACK = """
drop trigger audit_entries_only_grow on listmanagement_auditentry;
drop function refuse_audit_change();
"""


class Migration(migrations.Migration):
    dependencies = [("listmanagement", "0001_initial")]

    operations = [
        migrations.RunSQL(MASTER, MASTER_BACK),
        migrations.RunSQL(AUDIT, AUDIT_BACK),
    ]
