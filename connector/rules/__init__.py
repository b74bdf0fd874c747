"""The rules of customs, held against what a document would say before anything is sent; pure functions.

==================  =====================================================================================
``facts``           `RuleFacts`: all that a rule may know, read by the pipeline beforehand
``offices``         `Offices`: customs areas, and between which goods may return across areas since when
``rule``            `Rule`: what must hold, by which announcement, since when, and what it costs
``original``        R1 supervision mode and R6 parties of the original export list
``site``            R2 site of the return, R3 returns across customs areas, R8 functional areas
``time_limits``     R4 one year to return, R9 six months to return free of duties
``goods``           R5 lines and quantities of the original list, R7 goods that come in from abroad
``monitoring``      R10 every step of a return on record
``book``            `RULES` in order, and `judge`
==================  =====================================================================================

A finding that blocks keeps a document from being sent. What cannot be shown is not so: a fact that the enterprise's
mapping supplies, and that is empty for this record, breaks the rules that need it. A fact that the mapping does not
supply at all leaves a rule not judged, which warns and tells what to add.
"""
