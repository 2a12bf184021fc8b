"""The Django application: what is remembered, decided and done."""
