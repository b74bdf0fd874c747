"""XML signatures: made exactly as the customs specification demands, verified strictly.

========================  =============================================================================
``interface``             `SigningKey`: what a key store must do
``suites``                the table of suites: algorithms and the URIs that announce them
``schemes``               how a signature value is made and checked with RSA, ECDSA and SM2 keys
``sm2``                   SM2 by OpenSSL's libcrypto
``certificates``          what a certificate says
``keyfiles``              a key in files, found fit to sign when it is loaded
``keyring``               several keys, each from a moment on
``canonical``             the bytes that are hashed, and the documents that leave no doubt about them
``signer``                an unsigned message -> `SignedMessage`
``envelopes``             signed envelopes: how they are signed and opened
``place``                 where a signature stands, and the document without it
``verifier``              a signed message -> the bytes that were signed, or the reason for refusing it
``explain``               a file -> what its signatures state and why they do not fit, for a person
``parts``                 the signed documents of a file: a message, an envelope, what is in it
``reading``               what a signature states, and what comes out when it is computed again
``causes``, ``undo``      why it does not fit: what tools commonly do, undone until it does
``notes``                 what a person is told of it
``difference``            where two documents differ in the bytes that are signed
========================  =============================================================================
"""
