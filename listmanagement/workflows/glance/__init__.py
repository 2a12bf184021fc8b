"""The lists at a glance, for people: `overview` counts, `list_cache` says what of that is remembered."""
