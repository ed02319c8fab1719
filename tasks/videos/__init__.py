"""Posters and previews of videos, by ffmpeg."""
