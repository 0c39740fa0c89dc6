"""One map, copied: the files that a person takes along (GDPR Art. 15(3) and 20, P27), written while they are sent.

For the page that downloads. `archive` begins; beside it, one module a format. All of them read one snapshot, so they
say the same, and none of them asks the database. What each file holds stands in docs/your-data.md.
"""
