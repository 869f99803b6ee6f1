"""Read back what a worker would read now, through Flash's own client, and judge it.

It needs no recording and writes nothing. If the deployment was recorded, its spans and the
snapshot are diagnosed together.
"""
