"""Who owns a world: its lease, and the fenced transactions in which its owner writes."""
