"""Why a signature does not verify, told to a person. Nothing here decides what is trusted.

======================  ===============================================================================
``explain``             a file -> what its signatures state and why they do not fit
``parts``               the signed documents of a file: a message, an envelope, what is in it
``reading``             what a signature states, and what comes out when it is computed again
``causes``, ``undo``    why it does not fit: what tools commonly do, undone until it does
``notes``               what a person is told of it
``difference``          where two documents differ in the bytes that are signed
======================  ===============================================================================
"""
