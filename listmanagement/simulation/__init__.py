"""The same synthetic years under different policies: what each costs the living and spares the sender.

`world` holds the assumptions and the truth, `mail` what becomes of each message, `policies` what others do,
`evenkeel` our own policy by the code that runs in production, `compare` the figures. No database, no clock.
"""
