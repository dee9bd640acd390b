// Rows side by side: other rows by keyboard.
import { stepByKeys } from "./steps.js";
import { showTexts } from "./texts.js";

stepByKeys();
showTexts(document);
