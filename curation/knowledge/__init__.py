"""Knowledge pictures: formulas, charts, chemistry, elements, maps and rendered text drawn from facts, and figures out of PDFs.

Every drawn picture is a function of (seed, index) and comes with captions that are true of it, the exact text and boxes of what
is drawn, a licence and the load it puts on a reader. `curation.knowledge.kinds` lists the generators.
"""
