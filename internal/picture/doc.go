// Package picture writes a [mesh.Topology] as a drawing: SVG, from its layout,
// and the languages of Graphviz (DOT) and Mermaid, which lay it out themselves.
//
// Everything here is a pure function. States of edges and healths of nodes have a
// mark each beside their colour, for those who cannot tell colours apart and for
// printing in black: dashes and arrowheads, and symbols. Colours are presentation
// attributes, which a style sheet overrides (for a dark theme, say), so a drawing
// needs no style of its own and is whole as a file.
package picture
