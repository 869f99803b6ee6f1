"""A stand-in control plane and the guide's scenarios, run through the real Flash.

Only this package and the tests may start a server, and only on the loopback interface.
"""
