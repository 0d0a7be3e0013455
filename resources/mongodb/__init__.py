"""MongoDB: connections, the document store, the io manager."""
