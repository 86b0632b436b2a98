# SPDX-License-Identifier: GPL-3.0-or-later
"""Decks: ``place`` (where a deck stands), ``grid`` (its beats), ``sync``, ``speed``, ``scratch``, ``slip``, ``loops``,
``cues``; ``deck`` puts them together, ``commands`` says what people may ask."""
