"""Settings, logging and the services Evenkeel runs on."""
