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
``explanation``           why a signature does not verify, for a person
``chain``                 who issued a certificate, for a person
``tokens``                a key on a PKCS#11 token; ``token_session`` and ``token_errors`` are its parts
``expiry``, ``watched``   which certificates end soon
========================  =============================================================================
"""
