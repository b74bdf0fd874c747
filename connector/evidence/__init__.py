"""What is shown of what happened, step by step as the commands name it; the log itself is `connector.audit`.

The log is verified (``verify``), an entry proved (``prove``), a return told (``story``), a message built once more
(``replay``), everything handed out (``export``) or moved out of the database (``archive``), a name erased (``forget``).
Nothing of the flow in `connector.pipeline` needs this.
"""
