// Rows side by side.
import { showTexts } from "./texts.js";

showTexts(document);
