"""Phases of learning curves: pure functions on arrays, with an uncertainty for every estimate.

`curve.analyse` fits one curve, `layer_order` ranks layers by their curves, `across_runs` relates runs, `false_alarms`
measures how often noise is mistaken for a phase, and `piecewise` holds the linear algebra behind them.
"""
