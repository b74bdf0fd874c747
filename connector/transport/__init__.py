"""Talking to customs: SOAP bodies, our own HTTP connection, the answers read strictly.

==================  ===================================================================================
``interface``       what the pipeline asks of a customs interface
``connection``      one HTTP POST, one total deadline, and whether its first byte ever left us
``replies``         response bytes -> `Answer`; what cannot be read for certain is in doubt
``soap``            zeep: writes requests, reads checked replies
``tls``             the TLS settings of every connection
``customs``         `SoapCustoms`: the interface over SOAP
``wsdl/``           the two services; the simulator serves the same files
==================  ===================================================================================
"""
