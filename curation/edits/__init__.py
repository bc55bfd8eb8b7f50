"""Edits and compositions: pairs found among the pictures, and pairs made by composing new pictures with exact truth."""
