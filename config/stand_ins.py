"""`python -m config.stand_ins`: the stand-ins as a process, with our own rules in the model's place."""

import sys

from agents import by_rules
from integrations.sandbox.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], judge=lambda question: by_rules.reply(question.text)))
