"""The files on the disk: the rows, the ledger with every recorded reply, the journal. Usable without the engine."""
