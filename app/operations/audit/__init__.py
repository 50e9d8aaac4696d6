"""A day added up anew from the ledger's rows, and held against what others show."""
