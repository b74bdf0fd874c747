"""The demonstration: a sample enterprise, a simulated customs office and the connector between them.

==================  ======================================================================
``goods``           what the sample enterprise sells, with its customs codes and units
``parties``         who takes part: platforms, brokers, carriers, customs offices
``returns``         a seeded stream of plausible returns, some of them wrong on purpose
``rows``            a return as the rows of warehouse, archive and customs
``handling``        what happens to it in the warehouse afterwards: moved, dispatched, counted
``tables``          the tables of the warehouse and of the archive
``enterprise``      `build`: all of it written into one folder, ready to run
==================  ======================================================================
"""
