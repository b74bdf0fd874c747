"""The nouns of the flow and the forms they take on the wire; no database, no network, no keys.

========================  =============================================================================
``records``               `SourceRecord`: one business fact of the enterprise
``documents``             `Document`: one customs record (单证), its permanent key, its revisions
``deliveries``            `DeliveryState`, and the answers customs gives to a delivery
``receipts``              `Receipt`: one thing customs said (回执), `CustomsStatus`
``catalogue``             the message types we know and the shape of each, read from ``schemas/``
``parser``                the one strict XML parser
``builder``               documents -> one message (报文), schema-valid and ready to sign
``envelope``              the DxpMsg around a signed message
========================  =============================================================================
"""
