"""The demo's world: invented people on three lists, six campaigns, and a stand-in that tells the same story.

`world.build` describes it without touching anything, `rows` writes it to the database, `document` puts
it into the form the stand-in takes, and `seeding.seed` does both.
"""
