"""Looks at everything a connector needs, before it is started or when something is wrong. Nothing is changed or sent.

Each check stands alone, so that one that fails hides nothing of the next. A fault has the exit code that
`connector run` would end with::

    for finding in examine(settings, CHECKS):
        print(finding.level, finding.check, finding.text)
"""
