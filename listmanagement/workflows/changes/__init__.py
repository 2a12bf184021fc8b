"""Lists are changed, and nowhere else: from what was decided to what is seen at Mailjet.

`execution` has a run's decisions journaled and driven; `journal` takes each batch from intended to seen,
`batches` writes it down. Before it is sent `checking` asks contact by contact what may still be done, on
what `presence`, `seeing` and `whereabouts` read; `moves` stands between the two batches of a move.
Afterwards `effects` says how each operation ended, `lifts` and `inverse` what that ends besides.
"""
