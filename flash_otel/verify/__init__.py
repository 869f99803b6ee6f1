"""What a worker would read now: asked through Flash's own client, compared, and judged.

It needs no recording and writes nothing. Where a deployment was recorded, its spans and this
reading are diagnosed together.
"""
