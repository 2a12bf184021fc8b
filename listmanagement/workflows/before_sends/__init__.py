"""Before a send goes out.

`send_facts` gathers what is known of it, `pre_campaign` looks at it and tells people, `watching` does so by
itself and enforces, `retests` has it reach whom a reviewer chose of held domains.
"""
