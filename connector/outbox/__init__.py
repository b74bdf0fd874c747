"""Documents and the messages that carry them, from the decision to send until customs has taken them in.

``revisions`` decides whether a mapped content is sent at all, ``documents`` keeps the revisions; ``retry`` decides when
to try again, ``delivery`` is the state machine of one message, ``queue`` keeps it; ``queries`` reads both for people.
"""
