"""The record of everything that happened: `events` says what there is to record, `log` appends, `queries` reads."""
