"""What every run is made of.

`starting` makes one for each key, `lease` says who advances it, `steps` what a step gets and answers.
"""
