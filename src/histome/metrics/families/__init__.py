"""The families of metrics, a module each: what it declares, why it may be null, and how it is computed.

A module holds its reasons of nulls, its `TEMPLATES`, a function from a `Specimen` to a `Result` for each
template, and `FAMILY`, which binds them under the id that is the module's name with hyphens. The catalogue
(`histome.metrics.catalogue`) names the families in their order; `FAMILIES` there is the way to all of them.
What several families need is derived once, in `specimen`, `maps`, `tiles`, `distances` and `surroundings`.
"""
