"""What people do by hand.

`people` says who it is, `review` lets them decide, `protections` keeps their own list of addresses and
domains, `audit` keeps who did what, `refusals` what they are told where it cannot be.
"""
