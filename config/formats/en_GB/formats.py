"""Times as the review's own pages write them: 24 hours, and which zone they are in."""

DATE_FORMAT = "j M Y"
DATETIME_FORMAT = "j M Y, H:i e"
