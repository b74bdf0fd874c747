"""Connects the warehouse of a 9610 return site with the customs information system.

::

    sources ──> mapping ──> rules ──> messages ──> signing ──> outbox ──> transport ──> receipts
       │           │          │           │           │           │           │            │
       └───────────┴──────────┴───────────┴── audit ──┴───────────┴───────────┴────────────┘

    the enterprise's     what must    customs       XMLDSig    durable,    SOAP to      what customs
    rows and files,      hold, or     documents                never       customs,     said, added up
    read only            quarantine                            doubled     one try      per document

Stages never import each other; they meet in ``pipeline``.
"""
