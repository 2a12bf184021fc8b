"""The same assertions against the stand-in and, with keys, against a real Mailjet account.

With MAILJET_LIVE_API_KEY and MAILJET_LIVE_API_SECRET set (and MAILJET_LIVE_BASE_URL for an account that is
not at api.mailjet.com) `pytest -m live` runs them on lists that they make and delete themselves, with made-up
addresses at example.com that are erased at the end. Lists that a configuration names are never touched.
With GEMINI_LIVE_API_KEY set (and GEMINI_LIVE_MODEL for another model) it asks Gemini one question an agent.
"""
