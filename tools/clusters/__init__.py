"""Clusters and proxies as in production: several of the throwaway servers, connected over loopback.

One file each. All are context managers that stop what they started, and their constructors raise `Missing` if a
program is not installed.
"""
