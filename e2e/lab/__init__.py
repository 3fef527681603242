"""The lab: Eagle's real programs with a real registry and real containerds on hosts that are
network namespaces. README.md has the picture."""
