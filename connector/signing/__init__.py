"""XML signatures: made exactly as the customs specification demands, verified strictly.

========================  =============================================================================
``interface``             `SigningKey`: what a key store must do
``suites``                the table of suites: algorithms and the URIs that announce them
``keyfiles``              a key in PEM files, found fit to sign when it is loaded
``canonical``             the bytes that are hashed, and the documents that leave no doubt about them
``signer``                an unsigned message -> `SignedMessage`
``verifier``              a signed message -> the bytes that were signed, or the reason for refusing it
========================  =============================================================================
"""
