import { nextTick } from 'vue'

/** Element Plus makes a dialog's head a page banner and its foot the page's; for those who hear the page they are neither. */
export function plainDialog(): void {
  void nextTick(() => {
    for (const part of document.querySelectorAll('.el-dialog__header, .el-dialog__footer')) part.setAttribute('role', 'presentation')
  })
}
