"""index.html: `render` fills templates/page.html, and templates/page.js draws the charts from the JSON of `data`."""
