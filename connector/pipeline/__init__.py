"""The flow, step by step: ``collect``, ``prepare``, ``deliver``, ``take_receipts``; and ``resend`` for operators.

Here the stages meet, and only here transactions begin. Every step commits whole units: what it reads from the outside
or computes comes before the transaction, the audit entries are the last thing in it.
"""
