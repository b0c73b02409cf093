// What the viewer's page takes of deck.gl; `bundle` makes one file of it.
export {Deck, OrthographicView} from '@deck.gl/core';
export {TileLayer} from '@deck.gl/geo-layers';
export {BitmapLayer, PathLayer, ScatterplotLayer, SolidPolygonLayer} from '@deck.gl/layers';
