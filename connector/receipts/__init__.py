"""What customs said: ``parse`` reads receipt messages, ``fold`` adds them up to a status, ``ledger`` keeps them."""
