"""What was done is taken back.

`undoable` says of what run, whom, and who is left alone; `undo` turns it around through the same journal;
`way_back` asks once a week whether a few whose mailboxes were full are mailed again.
"""
